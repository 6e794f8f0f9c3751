"""The OpenGPTs dialect: the HTTP API of OpenGPTs as it was in November 2023, over the same store
and operations as every other dialect."""

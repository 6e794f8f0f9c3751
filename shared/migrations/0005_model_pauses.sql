-- Models that their server wants to be left alone: until then no run that asks for one is claimed.
CREATE TABLE model_pauses (
    model text COLLATE "C" PRIMARY KEY,
    until timestamptz NOT NULL
);

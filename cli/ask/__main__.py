from cli.ask.command import ask

if __name__ == "__main__":
    ask(prog_name="treadle ask")

"""The commands, one a file. ``qstage.cli.app`` lists them and loads the one that is called."""

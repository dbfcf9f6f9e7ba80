"""Where all parts meet: configs, runs, the ledger."""

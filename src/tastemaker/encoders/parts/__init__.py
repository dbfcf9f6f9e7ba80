"""What several encoders are made of; a package within the folder of encoders is no encoder."""

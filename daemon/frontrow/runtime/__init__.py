"""What runs: the tasks between the feeds, the engine, the store and the people, and who owns them."""

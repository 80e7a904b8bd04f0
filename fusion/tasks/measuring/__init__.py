"""What tasks tell beside their values: columns that say what they mean and where they come from."""

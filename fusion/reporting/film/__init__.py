"""A clip with what was predicted drawn into its pictures, or with its faces blurred."""

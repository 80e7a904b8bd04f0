"""From several encoded streams to one."""

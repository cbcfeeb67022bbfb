"""Write a plugin, and check one."""

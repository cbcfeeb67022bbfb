"""What several tests share: inputs, doubles, and ways to run things."""

"""What each lever would do, what that costs and what it should bring: one module a lever."""

"""State, pure steps, one loop; given a module, a loss and an optimizer."""

"""What a memory can do, one file a noun. `Memory` opens the stores and composes them."""

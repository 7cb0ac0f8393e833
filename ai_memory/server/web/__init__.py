"""`/web`: what the memory holds, for people: screens that are written on the server, and their hosting."""

"""Check de-identified instances of any tool, without the code that de-identifies."""

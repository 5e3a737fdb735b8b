"""The kinds of records: what each file holds, as msgspec Structs."""

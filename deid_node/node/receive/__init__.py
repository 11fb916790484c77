"""The receiving side of an association: from the socket to the spool, flat in memory.

pynetdicom decodes what is asked for, negotiates it and encodes the answer (`negotiation`);
the rest is read here, because its own loop holds each instance in memory, bounds no length,
waits without a limit and polls at idle (docs/adr/0012).
"""

"""What travels between the processes.

fields      what each field of a message may hold
messages    the messages
codec       messages <-> bytes
"""

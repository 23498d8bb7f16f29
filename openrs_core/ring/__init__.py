"""All that talks to Redis, but for the weights. Bottom to top:

keys            every name in Redis
address         where Redis is, and what proves that we may use it
connection      how a process reaches Redis, and waits for one that is away
dead_letters    messages that could not be read or used, bounded
fence           what an earlier incarnation of the learner may no longer write
agreement       what the processes of a run agree on
lease           one learner at a time
claims          what a consumer has in hand
queue           streams as a work queue
"""

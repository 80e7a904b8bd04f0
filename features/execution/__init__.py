"""Who does the work: jobs, the scheduler, executors (in process, worker processes, Ray),
resources.
"""

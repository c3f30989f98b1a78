"""What else happened while a task ran, so that a disturbed invocation is told from a slow platform.

`recorder` is what the agent uses: two `snapshots` of the kernel's counters around the task, and, for tasks that last,
a `sampler` in a child process in between. `marks` says by stated rules when an invocation was throttled or had to
share its processors. Nothing is imported here: the sampler's start must stay short.
"""

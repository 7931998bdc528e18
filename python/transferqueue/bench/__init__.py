"""``transferqueue bench``: the workloads P1 to P14, the sizes of batches, and what columnar metadata saves.

A workload measures through the public calls, in a process and a sidecar of its own, beside a yardstick (memcpy of the same bytes,
mostly) in the same run. ``docs/benchmarks.md`` tells what each one does.
"""

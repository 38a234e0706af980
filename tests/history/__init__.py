"""The history checker: what nodes acknowledged and showed under faults, against the promises of
docs/lifetime.md.

``model.py`` and ``rules.py`` are pure and read as a specification. ``run_virtual.py`` and
``run_processes.py`` make histories, with the faults of ``faults.py``.
"""

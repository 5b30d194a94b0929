"""Deterministic simulation: the whole daemon below ``app`` under a simulated clock, disk and network, from one seed.

::

        outside: one loop                    a process of the daemon: one loop, killed and started again
    ┌────────────────────────┐   network    ┌──────────────────────────────────────────────────────────┐
    │ feeds.py  HTTP senders │ ───────────► │ clients ─► intake ─► pipeline ─► engine, model   panels  │
    │           WebSocket    │ ◄─────────── │                          │          │                    │
    │           MQTT broker  │  acks        │                          ▼          ▼                    │
    │ sinks.py  receivers    │ ◄─────────── │ outbox workers ◄─── store        snapshots, attic        │
    └────────────────────────┘              └──────────────────────┬───────────────────────────────────┘
                                                                   │ a VFS below SQLite, a folder
        loop.py   one schedule of all callbacks, virtual time      ▼
        plan.py   what the seed draws               disk.py   cached and durable bytes, torn writes

``simulation.py`` runs a seed, ``invariants.py`` judges it, ``world.py`` puts the product's parts together (all that is
drawn inside the process is the product's own code), and ``test_planted_bugs.py`` shows that bugs are found.

Repeat one seed with ``make simulate SEED=17``, or ``python -m tests.simulation 17``.

The idea is that of FoundationDB's simulation (Zhou et al., SIGMOD 2021) with one process and no cluster: everything
that is not a pure function of the seed is replaced at the lowest place where it is still small. What that leaves out,
the tests of the real thing cover: sockets and their protocols, threads that truly run at once, the system's own file
layer.
"""

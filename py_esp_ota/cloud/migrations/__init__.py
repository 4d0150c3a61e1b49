"""What the tables were, revision by revision: alembic reads ``versions``, ``cloud/upgrade.py`` walks through them.

A change of ``models.py`` brings one file more, ``r0002_what_it_does.py``, with ``revision``, ``down_revision`` and
``upgrade``. It is never edited once it was released, and it knows none of today's code: a revision is history. Whatever
SQLite cannot alter goes through ``op.batch_alter_table``, which makes the table anew there and alters it in PostgreSQL.
Numbers and texts are ``BIG`` and ``TEXT`` of 0001; who writes numbers that PostgreSQL would count itself sets its
sequence behind them. There is no way down: who goes back takes the copy that was kept.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "bytelog"
MODULES = (
    "storage/open_transactions.py",
    "storage/partitions.py",
    "storage/postgresql.py",
    "storage/postgresql_connection.py",
    "storage/postgresql_errors.py",
    "storage/postgresql_locks.py",
    "storage/postgresql_maintenance.py",
    "storage/postgresql_rows.py",
    "storage/postgresql_servers.py",
)
REGISTRATION = '    "postgresql": "postgresql.PostgreSQL",\n'

SCRIPT = """
import json
from bytelog import Bytelog, create_app, __file__
from bytelog.cli.commands import COMMANDS
from bytelog.storage.errors import UnusableDatabase
log = Bytelog(create_app())
log.record(id=1, name="click", trace_id="a")
try:
    create_app({"BYTELOG_DATABASE_URL": "postgresql+psycopg://localhost/bytelog"})
except UnusableDatabase as error:
    refusal = str(error)
print(json.dumps([__file__, len(list(log.events())), refusal]))
log.close()
"""


def test_bytelog_works_on_sqlite_without_the_modules_of_postgresql(tmp_path: Path) -> None:
    package = tmp_path / "bytelog"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    for module in MODULES:
        (package / module).unlink()
    database = package / "storage" / "database.py"
    assert REGISTRATION in database.read_text()
    database.write_text(database.read_text().replace(REGISTRATION, ""))
    output = subprocess.check_output([sys.executable, "-c", SCRIPT], cwd=tmp_path, text=True)
    assert output.strip() == (
        f'["{package / "__init__.py"}", 1, "BYTELOG_DATABASE_URL names postgresql+psycopg; '
        'write sqlite:////path/to/bytelog.db."]'
    )

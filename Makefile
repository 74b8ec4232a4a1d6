# make chat · test · lint · check · oracle · torture · mcp-servers · bench · demo-eval · demo-train · clean
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOG := $(VENV)/install.log

.PHONY: chat test lint check oracle torture mcp-servers bench demo-eval demo-train clean
.DELETE_ON_ERROR:

# Installs the project with EXTRAS, shows that it is alive, and prints the log's end on failure.
define install
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "Python 3.10 or newer is needed; try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Installing into $(VENV). The first time llama.cpp is compiled: about 5 minutes on 2 cores." >&2
	@$(BIN)/python -m pip install --progress-bar off -c constraints.txt -e '.$(EXTRAS)' >$(LOG) 2>&1 & pid=$$!; \
	trap 'kill $$pid 2>/dev/null' INT TERM; seconds=0; \
	while kill -0 $$pid 2>/dev/null; do sleep 1; seconds=$$((seconds + 1)); \
		if [ $$((seconds % 15)) = 0 ]; then printf '  %3d s  %s\n' $$seconds "$$(tail -n 1 $(LOG) | cut -c 1-90)" >&2; fi; \
	done; \
	wait $$pid || { tail -n 30 $(LOG) >&2; echo "Installing failed; the whole log is $(LOG)" >&2; exit 1; }
	@touch $@
endef

$(VENV)/.chat: pyproject.toml constraints.txt
	$(install)

$(VENV)/.test: EXTRAS := [test]
$(VENV)/.test: pyproject.toml constraints.txt
	$(install)
	@touch $(VENV)/.chat

$(VENV)/.oracle: EXTRAS := [test,oracle,train]
$(VENV)/.oracle: pyproject.toml constraints.txt
	$(install)
	@touch $(VENV)/.chat $(VENV)/.test

chat: $(VENV)/.chat
	@$(BIN)/qwen3 chat

test: $(VENV)/.test
	@$(BIN)/python -m pytest -n auto --dist loadfile

lint: $(VENV)/.test
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright

check: lint test

# Regenerates the golden files from upstream; `git diff` must stay empty afterwards.
oracle: $(VENV)/.oracle
	@$(BIN)/python -m tests.oracle

# The long suites whole: mutations, kills, full disks, random schemas. Minutes, and it prints how they were spread.
torture: $(VENV)/.test
	@$(BIN)/python -m tests.torture

# MCP servers of others, each in an environment of its own, and the conformance scenarios. Wants PyPI, npm and Node.js.
mcp-servers: $(VENV)/.test
	@$(BIN)/python -m tests.mcp_servers

# Side by side with llama.cpp's own tools: converting, then how fast a chat is; and what grammars cost.
# Wants a quiet machine and 50 GB of disk.
bench: $(VENV)/.oracle
	@$(BIN)/python -m benchmarks.convert
	@$(BIN)/python -m benchmarks.speed
	@$(BIN)/python -m benchmarks.grammar

demo-eval: $(VENV)/.test
	@$(BIN)/python -m tests.demo.evaluate

demo-train: $(VENV)/.oracle
	@$(BIN)/python -m qwen3cli.demo.train

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .oracle .mcp-servers

# make demo   compile the bundled sample model and answer questions with it
# make test   lint, type check, layers, sizes, every test
# make lint   the same without the tests
# make compare  every code of the sample model, native machine against reference machine
# make check-native  the native kernels against each other, without Python
# make aarch64       the same for AArch64, cross-compiled and run under QEMU; needs the Debian
#                    packages g++-aarch64-linux-gnu and qemu-user
# make sanitize      the native machine under AddressSanitizer, UBSan and ThreadSanitizer
# make page          the chat page in a real browser; needs the Debian packages chromium and
#                    chromium-driver
# make vendor-client  Mobilint's client on packages, in an environment of its own: build/vendor-client
# make transformers-versions  the tests of the Hugging Face classes with TRANSFORMERS (5.4 5.17)
# make evaluation-tools  evaluation tools at a server, in environments of their own below build/
# make model-signing  OpenSSF's own tool on signed packages, in an environment of its own below build/
# make ray           compiles on a Ray cluster of this computer, some of whose machines are killed
# make container     what packaging/Containerfile builds, without an engine for containers: as root,
#                    with the Debian packages debootstrap and iproute2
# make kill          compiles of KILL_MODEL (the sample) killed, or out of disk, at KILLS (100) random
#                    moments, and gone on with
# make gpu           compiles on a CUDA device, where there is one, and on one that is pretended
# make soak          damaged inputs of every kind for SOAK_MINUTES (10) minutes
# make load          64 clients at a server of the sample model, beside an engine without HTTP
# make fuzz-server   requests that schemathesis makes of the server's own description
# make clean  remove everything the others made
#
# All of them first install the package, in editable form, into the virtual environment VENV.
# Without an NVIDIA GPU, save a few gigabytes on Linux with
#     make test TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
TEST_JOBS ?= 2
SOAK_MINUTES ?= 10
SOAK_SEED ?= 0
KILLS ?= 100
KILL_SEED ?= 0
KILL_PLACE ?=
KILL_MODEL ?=

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.vlmforge-installed
SAMPLE = "$$($(BIN)/python -c 'import vlmforge; print(vlmforge.sample_checkpoint())')"
DEMO := build/demo

# Left to pip as a dependency, torch may come in another version or with CUDA: it goes first, pinned.
PIP := $(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check -c constraints.txt

# Tests use few threads each, as several run side by side, and never the network.
TEST_ENVIRONMENT := OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false

.PHONY: demo test lint compare check-native aarch64 sanitize vendor-client transformers-versions page \
	kill gpu soak load fuzz-server evaluation-tools model-signing ray container install clean

demo: install
	$(BIN)/vlmforge compile $(SAMPLE) --out $(DEMO) --images synthetic
	$(BIN)/vlmforge eval $(DEMO) --questions src/vlmforge/sample/demo/questions.jsonl --reference $(SAMPLE)

test: lint
	$(TEST_ENVIRONMENT) $(BIN)/python -m pytest -n $(TEST_JOBS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tools/check_layers.py
	$(BIN)/python tools/check_sizes.py

compare: install
	$(BIN)/vlmforge compile $(SAMPLE) --out $(DEMO) --images synthetic
	$(BIN)/python tools/compare_machines.py $(DEMO)

CHECKS := -DVLMFORGE_CHECKS=ON -DCMAKE_BUILD_TYPE=Release
AARCH64 := -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
	-DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ \
	-DCMAKE_CROSSCOMPILING_EMULATOR='qemu-aarch64;-L;/usr/aarch64-linux-gnu'

check-native:
	cmake -S native -B build/check-native $(CHECKS)
	cmake --build build/check-native --parallel $(TEST_JOBS)
	ctest --test-dir build/check-native --output-on-failure

aarch64:
	cmake -S native -B build/aarch64 $(CHECKS) $(AARCH64)
	cmake --build build/aarch64 --parallel $(TEST_JOBS)
	ctest --test-dir build/aarch64 --output-on-failure

sanitize: install
	$(PIP) nanobind cmake
	PATH="$(abspath $(BIN)):$$PATH" tools/sanitize.sh address $(abspath $(BIN))/python
	PATH="$(abspath $(BIN)):$$PATH" tools/sanitize.sh thread $(abspath $(BIN))/python

page: install
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || \
		{ echo 'make page needs a browser: apt-get install chromium chromium-driver' >&2; exit 1; }
	$(PIP) selenium
	$(TEST_ENVIRONMENT) $(BIN)/python -m pytest tests/serve/page

# What runs in another environment finds the package by its path, built in place for this Python.
ELSEWHERE := $(TEST_ENVIRONMENT) PYTHONPATH=src:.
PLAIN_PYTEST := -m pytest -o addopts= --import-mode=importlib
OTHER_PIP := -m pip install --quiet --no-input --disable-pip-version-check
TORCH := -c constraints.txt torch $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

CLIENT := build/vendor-client
CLIENTS := transformers-mblt==0.6.1 mblt-npu-python==0.1.0 mblt-model-zoo==2.13.0

vendor-client: install
	test -x $(CLIENT)/bin/python || $(BIN)/python -m venv $(CLIENT)
	$(CLIENT)/bin/python $(OTHER_PIP) $(TORCH)
	$(CLIENT)/bin/python $(OTHER_PIP) -r tests/clients/requirements.txt
	$(CLIENT)/bin/python $(OTHER_PIP) --no-deps $(CLIENTS)
	$(BIN)/vlmforge compile $(SAMPLE) --out build/vendor-dynamic --images synthetic
	$(BIN)/vlmforge compile $(SAMPLE) --out build/vendor-fixed --images synthetic \
		--layout fixed --image-size 224
	$(ELSEWHERE) $(CLIENT)/bin/python $(PLAIN_PYTEST) tests/clients/test_vendor.py

TRANSFORMERS := 5.4 5.17

transformers-versions: $(TRANSFORMERS:%=transformers-%)

transformers-%: install
	test -x build/$@/bin/python || $(BIN)/python -m venv build/$@
	build/$@/bin/python $(OTHER_PIP) $(TORCH)
	build/$@/bin/python $(OTHER_PIP) 'transformers==$*.*' -r tests/integrations/requirements.txt
	$(ELSEWHERE) build/$@/bin/python $(PLAIN_PYTEST) tests/integrations

LM_EVAL := build/lm-eval
LMMS_EVAL := build/lmms-eval

evaluation-tools: install
	test -x $(LM_EVAL)/bin/python || $(BIN)/python -m venv $(LM_EVAL)
	$(LM_EVAL)/bin/python $(OTHER_PIP) -r tests/clients/lm-eval.txt
	test -x $(LMMS_EVAL)/bin/python || $(BIN)/python -m venv $(LMMS_EVAL)
	$(LMMS_EVAL)/bin/python $(OTHER_PIP) $(TORCH)
	$(LMMS_EVAL)/bin/python $(OTHER_PIP) -r tests/clients/lmms-eval.txt
	$(LMMS_EVAL)/bin/python $(OTHER_PIP) --no-deps lmms_eval==0.7.3
	$(BIN)/vlmforge compile $(SAMPLE) --out $(DEMO) --images synthetic
	$(TEST_ENVIRONMENT) $(BIN)/python -m pytest tests/clients/test_lm_eval.py tests/clients/test_lmms_eval.py

MODEL_SIGNING := build/model-signing

model-signing: install
	test -x $(MODEL_SIGNING)/bin/python || $(BIN)/python -m venv $(MODEL_SIGNING)
	$(MODEL_SIGNING)/bin/python $(OTHER_PIP) -r tests/signing/requirements.txt
	$(TEST_ENVIRONMENT) $(BIN)/python -m pytest tests/signing/test_model_signing.py

ray: install
	$(PIP) ray
	$(TEST_ENVIRONMENT) $(BIN)/python -m pytest -n 0 -o faulthandler_timeout=0 \
		tests/tasks tests/stages/test_machines.py

# What the Containerfile's base image is, but for its Python, which is Debian's own.
BASE := build/container/base

container: install
	test -e $(BASE)/usr/local/bin/python || debootstrap --variant=minbase \
		--include=python3,python3-venv,python3-dev,ca-certificates trixie $(BASE)
	ln -sf /usr/bin/python3 $(BASE)/usr/local/bin/python
	$(BIN)/vlmforge compile $(SAMPLE) --out $(DEMO) --images synthetic
	$(TEST_ENVIRONMENT) CONTAINER_BASE=$(abspath $(BASE)) \
		$(BIN)/python -m pytest -o faulthandler_timeout=0 tests/packaging

kill: install
	$(TEST_ENVIRONMENT) KILLS=$(KILLS) KILL_SEED=$(KILL_SEED) KILL_PLACE=$(KILL_PLACE) \
		KILL_MODEL=$(or $(KILL_MODEL),$(SAMPLE)) \
		$(BIN)/python -m pytest -n 0 -o faulthandler_timeout=0 tests/stages/test_killed.py

gpu: install
	$(TEST_ENVIRONMENT) GPU_TESTS=whole \
		$(BIN)/python -m pytest -n 0 -o faulthandler_timeout=0 tests/gpu

soak: install
	$(TEST_ENVIRONMENT) TRANSFORMERS_VERBOSITY=error PYTHONPATH=tools:. \
		$(BIN)/python -m soak --minutes $(SOAK_MINUTES) --seed $(SOAK_SEED)

load: install
	$(BIN)/vlmforge compile $(SAMPLE) --out $(DEMO) --images synthetic
	PYTHONPATH=. $(BIN)/python benchmarks/serving/load.py $(DEMO)

fuzz-server: install
	$(PIP) schemathesis
	$(BIN)/vlmforge compile $(SAMPLE) --out $(DEMO) --images synthetic
	PATH="$(abspath $(BIN)):$$PATH" PYTHONPATH=. $(BIN)/python benchmarks/serving/fuzz.py $(DEMO)

install: $(INSTALLED)

NATIVE := CMakeLists.txt $(shell find native -name '*.cc' -o -name '*.h' -o -name CMakeLists.txt)

$(INSTALLED): pyproject.toml constraints.txt $(NATIVE)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) torch $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
	$(PIP) --editable '.[dev]'
	touch $@

clean:
	rm -rf $(DEMO) build/editable src/vlmforge/_native*.so dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	test "$(VENV)" != .venv || rm -rf .venv
	find src tests tools training -name __pycache__ -type d -prune -exec rm -rf {} +

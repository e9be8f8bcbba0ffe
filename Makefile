# The front door. `make demo` and `make test` do everything from a bare Debian 12 on.
BUILD ?= build
SEEDS ?= 1
TO ?= 65536
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
generator = $(if $(shell command -v ninja),-G Ninja)
clang_format = $(or $(shell command -v clang-format-14),clang-format)

.PHONY: help setup configure apps build test bench bundle cuda-check demo fashion-table coupling-bench format format-check tidy install clean

help: ## What can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what is missing (apt; root or sudo)
	@./scripts/setup

# What a failed or interrupted configure left (a cache, but no build files) is thrown away.
configure: setup
	@test -f $(BUILD)/build.ninja || test -f $(BUILD)/Makefile || cmake --fresh -S . -B $(BUILD) $(generator) -DCMAKE_BUILD_TYPE=Release

apps: configure ## Build the programs into build/bin
	@cmake --build $(BUILD) --target apps -j $(JOBS)

build: configure ## Build everything: libraries, programs, tests, benches
	@cmake --build $(BUILD) -j $(JOBS)

test: build ## Build everything and run the tests
	@cd $(BUILD) && ctest --output-on-failure -j 2

bench: build ## Run the benchmarks (MACHINE=name keeps their raw output under bench/results)
	@for bench in $(BUILD)/bin/*_bench; do echo "== $$bench"; \
	  $$bench $(if $(MACHINE),--benchmark_out=bench/results/$$(date +%F)-$(MACHINE)-$$(basename $$bench _bench).json) || exit 1; \
	done
	@$(if $(MACHINE),sed -i '/"host_name"/d' bench/results/*-$(MACHINE)-*.json)

bundle: build ## Programs with their libraries, for another machine (BUILD=build-cuda OUT=bundle PROGRAMS="monge cuda_tests")
	@./scripts/bundle $(BUILD) $(or $(OUT),$(BUILD)/bundle) $(PROGRAMS)

# All CUDA sources, for all of their architectures: needs nvcc, no GPU.
nvcc = $(or $(shell command -v nvcc),$(wildcard /usr/local/cuda/bin/nvcc))
cuda-check: setup ## Compile the CUDA room, if there is an nvcc
ifeq ($(nvcc),)
	@echo "cuda-check: skipped, there is no nvcc"
else
	@cmake -S . -B build-cuda $(generator) -DCMAKE_BUILD_TYPE=Release -DMONGE_CUDA=ON >/dev/null
	@cmake --build build-cuda -j $(JOBS) --target monge_ot_cuda monge_cuda_ceilings
endif

demo: apps ## Fit, train, sample and compare on Fashion-MNIST into runs/demo (SEEDS=3 for three seeds)
	@BIN=$(BUILD)/bin ./scripts/demo --seeds $(SEEDS)

fashion-table: apps ## Methods on Fashion-MNIST at one budget into runs/fashion-table (BUDGET=600 seconds each, SEEDS=3)
	@python3 bench/flow/fashion_table.py --bin $(BUILD)/bin --seconds $(or $(BUDGET),300) --seeds $(SEEDS)

# QUICK=1: both problems in seconds, small enough for a test of the road.
coupling_out = runs/coupling$(if $(QUICK),-quick)
coupling_sizes = --to $(if $(QUICK),256 --limit-samples 4096,$(TO))
coupling-bench: apps ## Cost of couplings against batch size into runs/coupling (TO=2048 for less, QUICK=1 in seconds)
	@mkdir -p $(coupling_out)
	@test -f $(coupling_out)/fashion.h5 || $(BUILD)/bin/ot_data import fashion-mnist --out $(coupling_out)/fashion.h5
	@$(BUILD)/bin/coupling_cost --grid $(if $(QUICK),4,8) $(coupling_sizes) --out $(coupling_out)/grid
	@$(BUILD)/bin/coupling_cost $(coupling_out)/fashion.h5 $(if $(QUICK),--points 1000) $(coupling_sizes) --out $(coupling_out)/fashion-mnist

format: ## Format the sources (clang-format 14: ./scripts/setup --dev)
	@git ls-files '*.h' '*.cpp' '*.cu' | xargs $(clang_format) -i

format-check: ## Fail if a source is not formatted
	@git ls-files '*.h' '*.cpp' '*.cu' | xargs $(clang_format) --dry-run --Werror

tidy: configure ## Run clang-tidy over the libraries and programs
	@git ls-files 'ot/*.cpp' 'flow/*.cpp' 'data/*.cpp' 'apps/*.cpp' | xargs -P $(JOBS) -n 4 clang-tidy -p $(BUILD) --quiet

install: build ## Install libraries, headers and programs under PREFIX
	@cmake --install $(BUILD) --prefix $(PREFIX)

clean: ## Remove the build folder
	@rm -rf $(BUILD)

# SPDX-License-Identifier: GPL-2.0
# MMU Notifiers Next: the jobs. `make` alone lists them.

targets := help run test test-x86 mutants torture models users bisect bench tree refresh check clean
variables := LINUX T B

given := $(foreach word,$(MAKEOVERRIDES),$(if $(findstring =,$(word)),$(word)))
unknown := $(filter-out $(variables),$(foreach word,$(given),$(firstword $(subst =, ,$(word)))))
ifneq ($(unknown),)
$(error unknown variable $(firstword $(unknown)): make knows $(variables))
endif
export LINUX T B

.PHONY: $(targets)

help:
	@echo 'make run      boot a kernel in which a secondary MMU follows a process'
	@echo 'make test     the tests; T=<suite> runs one or more, T=list names them all'
	@echo 'make test-x86 programs of others on x86_64, the base against the series'
	@echo 'make mutants  show that the tests catch a broken core'
	@echo 'make torture  random work against an oracle, and broken cores that it catches'
	@echo 'make models   search the models of both protocols for what cannot happen'
	@echo 'make users    compile what uses the notifiers on six architectures'
	@echo 'make bisect   build and test every prefix of the series'
	@echo 'make bench    measure the base and the series side by side; B=<row> one figure'
	@echo 'make tree     build/linux: the base with the series pushed, for quilt'
	@echo 'make refresh  take the work in build/linux into patches/ and the copies'
	@echo 'make check    the tests that need no kernel build'
	@echo 'make clean    remove build/; the cache with sources and objects stays'
	@echo
	@echo 'LINUX=<tree or tarball> names the base instead of downloading it.'

run:
	@scripts/deps run
	@scripts/run

test:
	@scripts/deps test
	@scripts/test $(T)

test-x86:
	@scripts/deps x86
	@scripts/test $(addprefix x86_,$(notdir $(wildcard tests/x86/*)) mutants)

mutants:
	@scripts/deps test
	@scripts/test mutants

torture:
	@scripts/deps test
	@scripts/test torture variants

models:
	@scripts/deps test
	@models/check

users bisect:
	@scripts/deps test
	@scripts/test $@

bench:
	@scripts/deps bench
	@scripts/bench $(B)

tree:
	@scripts/deps run
	@scripts/tree $(CURDIR)/build/linux

refresh:
	@scripts/refresh

check:
	@scripts/deps test
	@scripts/test push am copies checkpatch shellcheck

clean:
	@rm -rf build

.DEFAULT:
	@echo "error: unknown target $@: make help names them" >&2; exit 2

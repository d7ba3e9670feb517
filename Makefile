# Only names: every step is defined in .ci/run.
.PHONY: help demo test lint types imports unit property server dns chart oracle cluster companion bench endurance fuzz lab lab-build lab-down node node-build node-down e2e reference

help: ## list the steps
	@.ci/run help

demo: ## make the environment and run the main job on captured reviews
	@.ci/run demo

test: ## every check that needs no root
	@.ci/run test

lint types imports unit property server dns chart oracle cluster companion bench endurance fuzz lab lab-build lab-down node node-build node-down e2e reference:
	@.ci/run $@

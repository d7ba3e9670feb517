# Only names: every step is defined in .ci/run.
.PHONY: help demo test lint types imports unit property server chart cluster lab lab-build lab-down reference format

help: ## list the steps
	@.ci/run help

demo: ## make the environment and run the main job on captured reviews
	@.ci/run demo

test: ## every check that needs no root
	@.ci/run test

lint types imports unit property server chart cluster lab lab-build lab-down reference format:
	@.ci/run $@

# Only names: every step is defined in .ci/run.
steps := lint names loc docs types imports unit property property-quick server render dns chart oracle \
  scale cluster check-cluster check-node companion redteam bench idle endurance fuzz lab lab-build lab-down node \
  node-build node-down e2e-short e2e reference image image-load wheel zipapp command clean-room ways \
  bases bases-check audit sbom in-tree doctor page michelangelo hostile-shell env lock

.PHONY: help demo test check $(steps)

help: ## list the steps
	@.ci/run help

demo: ## make the environment and run the main job on captured reviews
	@.ci/run demo

test: ## what a contributor runs: no root, no Go; a minute and a half
	@.ci/run test

check: ## the other tiers, one after the other; what is run by name alone is in `make help`
	@.ci/run check

$(steps):
	@.ci/run $@

# Prints the commands of a page of the documentation, with the lab's names in place of the page's: `sh documented.sh
# docs/PAGE.md NAME`. Fences of `sh` are run by a scenario of their page, those of `console` cannot be.
set -eu
awk '/^```sh$/ { inside = 1; next } /^```/ { inside = 0 } inside' "$PROJECT/$1" | sed \
    -e "s,REGISTRY/suture:1,${REGISTRY_FRONTEND:-$FRONTEND},g" \
    -e "s,registry\\.example\\.org/,,g" \
    -e "s,https://scans\\.example\\.org,${SCANS:-},g" \
    -e "s,\\bapp:\\(1\\|cache\\),$2:\\1,g"

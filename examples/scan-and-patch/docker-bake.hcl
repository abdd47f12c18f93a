# Scans an image and fixes what the scanner has found, both inside BuildKit:
#
#   cd examples/scan-and-patch
#   IMAGE=app:1 TAG=app:1-patched docker buildx bake --load
#
# To see the report alone:
#
#   IMAGE=app:1 docker buildx bake --set scan.output=type=local,dest=report scan

# The image to patch.
variable "IMAGE" {
  default = "app:1"
}

# The patched image.
variable "TAG" {
  default = "app:1-patched"
}

# The scanner: any image that has Trivy. Pin it by digest in production.
variable "SCANNER" {
  default = "aquasec/trivy:0.69.3"
}

# The frontend.
variable "SUTURE" {
  default = "REGISTRY/suture:1"
}

group "default" {
  targets = ["patch"]
}

# Writes report.json into an empty image.
target "scan" {
  dockerfile = "Dockerfile"
  contexts   = { image = "docker-image://${IMAGE}" }
  args       = { SCANNER = SCANNER }
  # The same image may have new vulnerabilities tomorrow, so this stage never comes from the cache.
  no-cache-filter = ["scanner"]
}

# Needs no build file: all options are arguments.
target "patch" {
  dockerfile-inline = "# The options are in args."
  contexts          = { report = "target:scan" }
  args = {
    BUILDKIT_SYNTAX = SUTURE
    IMAGE           = IMAGE
    ON_UNMET        = "warn"
  }
  tags = [TAG]
}

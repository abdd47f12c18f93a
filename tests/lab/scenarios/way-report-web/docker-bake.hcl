target "scan" {
  dockerfile-inline = <<END
FROM scratch
COPY report.json /
END
}

target "patched" {
  dockerfile-inline = "# The options are arguments."
  contexts = { report = "target:scan" }
  args = { IMAGE = "lab/alpine:3.20" }
}

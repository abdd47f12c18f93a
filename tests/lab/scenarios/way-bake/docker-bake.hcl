# Builds an application's image, and patches it.
target "base" {
  dockerfile-inline = "FROM lab/debian:hermetic\nUSER root\nRUN echo yes > /baked\nUSER nobody\n"
  output            = ["type=docker"]
}

target "patched" {
  dockerfile-inline = "# syntax=suture:lab\nARG PACKAGES=liblzma5,zlib1g\n"
  contexts          = { image = "target:base" }
  output            = ["type=docker"]
}

target "one" {
  contexts = { image = "target:two" }
}

target "two" {
  contexts = { image = "target:one" }
}

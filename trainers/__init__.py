"""HOW trials are trained. Needs torch, numpy and safetensors alone."""

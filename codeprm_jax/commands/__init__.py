"""The commands of `codeprm`, one file each; `codeprm_jax.cli` imports the one that is called."""

"""The campaign whoever decides: a language model, exploration, shadows, a policy that wants the forbidden."""

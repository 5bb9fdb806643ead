"""Tests of the language-model policy: what may go wrong between a question and its answer."""

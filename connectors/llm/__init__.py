"""Gateways and providers of model APIs: spend logs of LiteLLM, costs and usage of OpenAI."""

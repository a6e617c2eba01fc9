"""The reference: a plugin on Dify's Python SDK, with the SDK's own OpenAI-compatible classes."""
from dify_plugin import DifyPluginEnv, Plugin

plugin = Plugin(DifyPluginEnv())

if __name__ == "__main__":
    plugin.run()

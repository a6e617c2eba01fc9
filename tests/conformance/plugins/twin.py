"""Runs the plugin of the current directory in the SDK's own runtime."""

import os
import sys

sys.path.insert(0, os.getcwd())

from dify_plugin import DifyPluginEnv, Plugin

Plugin(DifyPluginEnv()).run()

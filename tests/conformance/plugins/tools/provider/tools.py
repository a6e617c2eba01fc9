from typing import Any

from dify_plugin import ToolProvider
from dify_plugin.entities.oauth import ToolOAuthCredentials
from dify_plugin.errors.tool import ToolProviderCredentialValidationError

import oauth


class Provider(ToolProvider):
    def _validate_credentials(self, credentials: dict[str, Any]) -> None:
        if credentials.get("api_key") != "good-key":
            raise ToolProviderCredentialValidationError("the service rejects the key")

    def _oauth_get_authorization_url(self, redirect_uri, system_credentials):
        return oauth.authorization_url(redirect_uri, system_credentials)

    def _oauth_get_credentials(self, redirect_uri, system_credentials, request):
        return ToolOAuthCredentials(**oauth.credentials(request))

    def _oauth_refresh_credentials(self, redirect_uri, system_credentials, credentials):
        return ToolOAuthCredentials(**oauth.refresh(credentials))

from dify_plugin.entities import I18nObject, ParameterOption
from dify_plugin.entities.oauth import TriggerOAuthCredentials
from dify_plugin.entities.trigger import EventDispatch, Subscription, UnsubscribeResult
from dify_plugin.errors.trigger import (
    SubscriptionError,
    TriggerProviderCredentialValidationError,
    TriggerValidationError,
    UnsubscribeError,
)
from dify_plugin.interfaces.trigger import Trigger, TriggerSubscriptionConstructor
from werkzeug import Response

import oauth


class Forge(Trigger):
    def _dispatch_event(self, subscription, request):
        if not subscription.properties.get("secret"):
            raise TriggerValidationError("the signature is invalid")
        text = request.get_data(as_text=True)
        response = Response("accepted", status=202, headers={"x-b": "1"})
        events = ["push", "unknown"] if text else []
        return EventDispatch(user_id="octocat", events=events, response=response, payload={"text": text})


class Subscriptions(TriggerSubscriptionConstructor):
    def _validate_api_key(self, credentials):
        if credentials.get("api_key") != "good-key":
            raise TriggerProviderCredentialValidationError("the service rejects the key")

    def _create_subscription(self, endpoint, parameters, credentials, credential_type):
        if not parameters.get("repository"):
            raise SubscriptionError("parameter `repository` is required")
        properties = {"hook_id": "7", "secret": "secret of the hook 7"}
        return Subscription(expires_at=1_900_000_000, endpoint=endpoint, parameters=parameters, properties=properties)

    def _delete_subscription(self, subscription, credentials, credential_type):
        if not subscription.properties.get("hook_id"):
            raise UnsubscribeError("no such hook")
        return UnsubscribeResult(success=True)

    def _refresh_subscription(self, subscription, credentials, credential_type):
        return subscription.model_copy(update={"expires_at": 1_950_000_000})

    def _fetch_parameter_options(self, parameter, credentials, credential_type):
        return [ParameterOption(value="acme/weather", label=I18nObject(en_US=parameter))]

    def _oauth_get_authorization_url(self, redirect_uri, system_credentials):
        return oauth.authorization_url(redirect_uri, system_credentials)

    def _oauth_get_credentials(self, redirect_uri, system_credentials, request):
        return TriggerOAuthCredentials(**oauth.credentials(request))

    def _oauth_refresh_credentials(self, redirect_uri, system_credentials, credentials):
        return TriggerOAuthCredentials(**oauth.refresh(credentials))

import json

import calls
from dify_plugin.entities.datasource import WebSiteInfo, WebSiteInfoDetail
from dify_plugin.interfaces.datasource.website import WebsiteCrawlDatasource


class Site(WebsiteCrawlDatasource):
    def _get_website_crawl(self, datasource_parameters):
        url = datasource_parameters.get("url")
        if not url:
            raise ValueError("parameter `url` is empty")
        # What is called back is the content of the pages.
        _, is_call, name = url.partition("call:")
        called = json.dumps(calls.make(name, self.session)) if is_call else None
        yield self.create_crawl_message(WebSiteInfo(status="processing", web_info_list=[], total=2, completed=0))
        pages = [
            WebSiteInfoDetail(
                source_url=f"{url}/{number}", content=called or f"# Page {number}", title=f"Page {number}", description="A page"
            )
            for number in range(2)
        ]
        yield self.create_crawl_message(WebSiteInfo(status="completed", web_info_list=pages, total=2, completed=2))

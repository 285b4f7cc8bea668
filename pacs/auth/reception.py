"""What it takes to know people who have signed in, put together once for a web process."""

from config.settings import Settings
from index.access import Audit
from index.database import Database
from index.people.sessions import Sessions
from pacs.auth.cookies import Cookie
from pacs.auth.sessions import Visitors
from pacs.auth.sign_in import SignIn


class Reception:
    """The cookie, who is behind it, and how one gets it."""

    def __init__(self, database: Database, settings: Settings, audit: Audit) -> None:
        sessions = Sessions(database)
        self.cookie = Cookie(secure=settings.web.public_url.startswith("https://"))
        self.visitors = Visitors(sessions, settings, self.cookie)
        self.sign_in = SignIn(database, sessions, settings, audit)
